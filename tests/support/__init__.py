"""What the tests share: helpers with real imports. Fixtures stand in the conftest.py of the folder that needs them."""
