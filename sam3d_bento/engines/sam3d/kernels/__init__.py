"""Operations that the fused networks are made of: each in plain torch, and as a Triton kernel for a GPU."""
