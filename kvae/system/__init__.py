"""What the program asks of the machine: files, console, signals, device."""
