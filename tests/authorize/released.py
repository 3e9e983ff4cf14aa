"""Released clients, which know an address and nothing else."""
