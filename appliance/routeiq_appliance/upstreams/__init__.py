"""Who answers: `interface` beside its implementations. `litellm` is the only one yet."""
