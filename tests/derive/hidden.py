"""Models with continuous hidden variables: one for each way in which these are integrated out."""

from __future__ import annotations

HIDDEN = {
    "random_effects": """
model RandomEffects
param mu : real
param tau : positive
param sigma : positive
for each batch:
    latent u ~ Normal(0, tau)
    for each row:
        observed y ~ Normal(mu + u, sigma)
""",
    "robust_location": """
model RobustLocation
index k = 1..2
param p : simplex[k]
param mu[k] : real
param sigma : positive
param df : positive
for each row:
    latent z ~ Categorical(p)
    latent u ~ Gamma(df/2, df/2)
    observed x ~ Normal(mu[z], sigma/sqrt(u))
order k by mu
""",
    "local_level": """
model LocalLevel
param q : positive
param r : positive
for each year in sequence:
    latent level ~ Normal(0, 10) first, Normal(prev(level), q) after
    observed flow ~ Normal(level, r)
""",
}
