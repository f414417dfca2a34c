"""What is fitted offline and shipped as small readable files."""
