"""What is coming: forecasts of series and of resources, against what came."""
