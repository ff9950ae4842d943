"""Webhooks that admission asks: who is asked (`matching`, `source`), what (`review`), over the network (`client`), all of it (`dispatch`)."""
