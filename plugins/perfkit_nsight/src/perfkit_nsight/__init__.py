"""perfkit plugin for NVIDIA Nsight Systems and Nsight Compute."""
