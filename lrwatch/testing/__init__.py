"""What tests of lrwatch, and of what extends it, can build on."""
