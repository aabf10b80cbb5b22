"""Operations: sizing and fitting."""
