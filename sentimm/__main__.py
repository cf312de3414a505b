"""Run the command line as `python -m sentimm`."""

from sentimm.cli.app import main

if __name__ == "__main__":
    main()
