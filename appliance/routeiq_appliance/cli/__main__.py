"""`python -m routeiq_appliance.cli` is `routeiq`, where the script is not on the path."""

from routeiq_appliance.cli.main import main

if __name__ == "__main__":
    main(prog_name="routeiq")
