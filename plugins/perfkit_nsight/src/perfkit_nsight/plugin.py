"""Hook implementations of the Nsight plugin; this version registers nothing."""
