"""Detection measured: the watch, single series by NAB and the KPI contest, many dimensions."""
