"""Services of type LoadBalancer, given addresses by whoever provides balancers."""
