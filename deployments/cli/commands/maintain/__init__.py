"""Commands that look after settings, models and stores."""
