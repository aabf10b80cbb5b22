"""The portfolio database: what the account bought and when, a projection of mail and Alpaca."""
