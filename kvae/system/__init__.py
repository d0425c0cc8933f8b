"""What the program asks of the machine: files, locks, console, signals, device."""
