"""Ground floor: pydantic models, tables and facts; imports nothing of ours."""
