"""Networks in Keras."""
