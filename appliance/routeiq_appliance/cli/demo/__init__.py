"""`make demo`: a real small LLM and the gateway, sealed off, and two prompts through `model: auto`.

`prepare` fetches and signs, `stack` starts and stops, `ask` sends and judges, `command` tells the story.
"""

from routeiq_appliance.cli.demo.command import demo

__all__ = ["demo"]
