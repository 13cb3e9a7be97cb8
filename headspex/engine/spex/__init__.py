"""SPEX, the predecessor of ProxySPEX: masks in patterns, and the decoder that reads them."""
