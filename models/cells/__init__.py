"""The cells of the literature beside the standard ones: one scan for all recurrent ones."""
