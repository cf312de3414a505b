"""The images of posts: looked up by names and ids, any number to a post, compared by their looks."""
