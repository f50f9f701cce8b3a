@rem What npm scripts begin with, so that sh gives its place to the program and signals reach it. cmd finds this file instead.
@%*
