from lexigraft.cli import main

main()
