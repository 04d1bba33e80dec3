"""The fleet's server: CoAP for devices, a web page for people."""
