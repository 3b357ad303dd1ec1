"""Policy languages behind one interface."""
