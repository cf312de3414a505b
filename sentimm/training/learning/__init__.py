"""Learning: the objective, the optimiser and the training loop."""
