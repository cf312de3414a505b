"""What labelled posts say of the model, each weighed by the posts that it stands for."""
