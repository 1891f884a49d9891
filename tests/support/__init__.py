"""What tests share: builders of small data, the NumPy oracle, programs as a user starts them, fast compilation."""
