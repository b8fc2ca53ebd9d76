"""`config.yaml`: its schema (`models`), reading with line numbers (`document`), and all mistakes at once (`load`)."""
