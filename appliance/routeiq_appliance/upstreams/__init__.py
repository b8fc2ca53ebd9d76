"""Who answers: `interface`, then `direct` and `litellm`, and `both`, which hands each deployment to its own."""
