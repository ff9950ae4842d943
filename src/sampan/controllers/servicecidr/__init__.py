"""ServiceCIDRs: ready once protected, gone once no address needs them."""
