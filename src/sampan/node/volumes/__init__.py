"""A pod's volumes: `payload` says what files they hold (pure), `atomic` writes them, `manager` keeps them true."""
