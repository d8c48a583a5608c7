"""What can be asked of a model about its answer: what it needed, what else it would say, where its encoder looked."""
