"""Example perfkit plugin: a two-layer perceptron and a tab-separated exporter."""
