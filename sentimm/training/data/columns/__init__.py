"""What columns say of posts besides their texts, images and labels."""
