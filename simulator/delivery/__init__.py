"""Events on their way to webhook endpoints: planned and faulty, signed, sent, tried again."""
