"""The pages of the project, and what writes those that follow from code and results."""
