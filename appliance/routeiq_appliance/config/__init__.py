"""`config.yaml`, from text to what the gateway does.

The schema is `models` over `model_list`, `sections` and `routeiq_section`. `document` reads YAML with line numbers;
`load` and `checks` find all mistakes at once. `deployments`, `prices` and `policy` say what holds, `ignored` what does
not; `describe` and `reference` tell it to people.
"""
