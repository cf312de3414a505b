"""The models in PyTorch: encoders of one modality, and the fusions of the paper over them."""
