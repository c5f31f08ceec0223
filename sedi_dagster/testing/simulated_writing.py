"""placeholder"""
import random
def write(prompt: str, rng: random.Random) -> str:
    return f"simulated {rng.randrange(10**9)}"
