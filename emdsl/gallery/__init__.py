"""Models to begin with: `.emm` files that say in their comments what each line is for and what table they want."""
