"""Pure functions of arrays: metrics, calibration, intervals. No files, no tables, no clocks."""
