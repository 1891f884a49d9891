"""One training step: the loss and its gradients, the two updates, and what differs on several devices."""
