"""The models in PyTorch: encoders of text and image, and the fusions of the paper over them."""
