"""Themes and the style sheet: what a tone looks like. What has a tone is said in the view models."""
