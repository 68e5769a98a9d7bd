"""Plain fields: flows whose right side a person writes down, and gradient flows in a metric."""
