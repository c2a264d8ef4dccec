"""What several tests share: small models, stores, videos and servers made for them."""
