"""HTTP: `server` dispatches, `openai` speaks the data plane's dialect, `fields` checks bodies, `management` makes keys,
`health` and `console` are what their names say. Plain ASGI; FastAPI only behind `management`.
"""
